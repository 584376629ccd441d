"""What a prediction will do and what its bytes depend on, known before anything heavy is loaded."""
