"""What measures instead of training: approximation quality and the cost of steps, with their tables and pictures."""
