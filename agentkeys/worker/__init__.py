"""The one kind of process that touches identities and vaults: started for one job, gone after it.

The CLI prompts, the worker works, the agent receives. A job is one message of `agentkeys.wire` on stdin, its answer
one on stdout; values travel in these pipes and in the agent's socket, never in arguments or the environment.
"""
