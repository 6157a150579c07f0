"""Work spread over the nodes of a Ray cluster: the same results, in the same order, as processes here give."""
