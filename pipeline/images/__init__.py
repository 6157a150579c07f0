"""From files to pixels: decoding, normalising, measurements of each picture, perceptual hashes."""
