// Changes told by the server wake the parts of the page that they are about.
