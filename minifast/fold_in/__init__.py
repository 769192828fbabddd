"""Add a user to a trained recommender: one new row, with everything else frozen."""
from .user import add_user as add_user
from .user import user_tables as user_tables
