"""What a network costs in parameters, work, time and memory."""
