"""Tests; they find the libraries as the command line does."""

from pipeline.processes.libraries import settle

settle()
