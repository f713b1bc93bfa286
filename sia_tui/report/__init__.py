"""A run told on one page that can be taken away: what is said, its pictures, and its two forms, HTML and Markdown."""
