"""How does the loss change with the weights? Its surface over planes, and its curvature."""
