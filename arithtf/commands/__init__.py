"""What the commands of `arithtf` do. Each module is imported only when its command runs."""
