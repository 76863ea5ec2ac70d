"""Ollama: which models it has and has loaded, what they need in memory, and pulling them.

``host`` reads OLLAMA_HOST, ``client`` asks the server, ``memory`` looks at the machine, ``need`` and ``fit`` say what goes
into it, ``pull`` fetches models, ``desk`` puts these together; answers are ``maestro.llm.providers.ollama``'s.
"""
