"""The leaderboard: Streamlit pages over a folder of records. Knows no task and runs no model."""
