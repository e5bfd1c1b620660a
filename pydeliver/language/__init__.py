"""The rule language: text to tree, tree to plan, tree to text."""
