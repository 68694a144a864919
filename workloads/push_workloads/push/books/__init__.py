"""What is kept of pushes that no message stands for: templates, and what was asked of `POST /push`."""
