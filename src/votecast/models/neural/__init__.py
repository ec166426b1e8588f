"""What the families in torch share: backbones, adapters, networks over pairs of answers, and the member around them."""
