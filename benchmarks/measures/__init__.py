"""What is measured, a module for each group. Each has a ``run`` that takes an arena and writes into its notebook."""
