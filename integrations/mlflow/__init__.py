"""Everything about MLflow. Only worker processes import its client."""
