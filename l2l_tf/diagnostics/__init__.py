"""What a meta-training looks like from inside (`measures`), and what is wrong with it (`rules`)."""
