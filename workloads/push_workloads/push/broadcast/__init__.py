"""One notification for all devices of a segment, or of a topic's followers: ordered, run, counted, stopped."""
