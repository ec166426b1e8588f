"""What the neural families share: backbones, networks, and the model around them."""
