"""What optimizers compute in every step, alone or in a race with others."""
