#!/bin/sh
# Services are not started when packages are installed: a container runs one program of its own.
exit 101
