"""Ollama: which models it has and has loaded, what they need in memory, and pulling them.

``host`` reads OLLAMA_HOST, ``client`` asks the server (``lines`` reads its streams), ``memory`` looks at the machine,
``need`` and ``fit`` say what goes into it, ``pull`` fetches models, ``wire`` translates requests and answers, ``desk``
puts these together; answers are given by ``maestro.llm.providers.ollama``.
"""
