"""What `make up` and `make test` need on this machine: engine, Compose, base image, virtual environment.

Standard library only: this runs before anything is installed. It never touches an engine that works.
"""
