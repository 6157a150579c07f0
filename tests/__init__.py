"""Tests; they find the libraries as the command line does."""

from pipeline.workers.libraries import configure

configure()
