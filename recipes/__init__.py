"""Recipes that ship with novicegym; training/recipes.py reads them."""
