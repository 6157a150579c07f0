"""Search for better params of training: trials in memory, one study on disk, the winner as one experiment of DVC."""
