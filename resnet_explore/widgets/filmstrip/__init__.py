"""Pictures that are turned like pages: a widget of its own, for whoever has frames."""
