"""The pages alone, for a server that speaks WSGI. They ask for changes by themselves then (docs/adr/0011)."""

from config.start import pages

application = pages()
