"""Measurements on one GPU, part by part within a limit of time: `make gpu`."""
