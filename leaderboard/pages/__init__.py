"""The pages, one a file; `leaderboard.app` lists them."""
