"""Who answers: one module a kind of endpoint, each a ``maestro.llm.model.Provider``."""
