"""What do people look at: pictures, pages, and a run's last words?"""
