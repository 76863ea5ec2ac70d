"""GitHub's REST API, as far as Maestro speaks to it: who it is there, and the four things it says.

Hand-written on httpx, and PyJWT for the App: githubkit waits and repeats by itself, which the outbox has to decide, and
its strict answers refuse what an Enterprise server leaves out.
"""
