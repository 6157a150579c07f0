"""Try other framings of the problem cheaply, on embeddings, and say which are better than today's beyond noise."""
