"""Neural art: its pictures, the updates that make them, and a picture of one's own."""
