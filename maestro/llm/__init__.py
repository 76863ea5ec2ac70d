"""One gateway to language models: chooses one, says why, and spends no more than was granted."""
