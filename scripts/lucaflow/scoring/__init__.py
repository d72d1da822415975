"""What does one job of scores do, and how well do scores of variants fit measurements?"""
