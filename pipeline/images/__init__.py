"""Files to pixels: decoding, normalising, what is measured of a picture, perceptual hashes."""
