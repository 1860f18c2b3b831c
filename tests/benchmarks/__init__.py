"""What frog costs beside what it is compared with, measured in the same run; `make bench` writes one CSV of it."""
