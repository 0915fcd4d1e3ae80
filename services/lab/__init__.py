"""What all programs of the lab share: options, the journal of socket calls, and failures told in one line.

Standard library only. The links named `lab` beside them lead here, so that every
program runs as a plain file (`python3 udp_client.py`) with nothing installed.
"""
