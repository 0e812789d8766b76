"""The generator as a whole, and what people say to steer it."""
