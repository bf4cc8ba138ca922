"""Intents in the languages of others, and what others ask for in them: OpenC2, CACAO 2.0, STIX courses of action.

    from andon.contain.languages import cacao, openc2, stix
    openc2.commands(intent), cacao.playbook(intent), stix.bundle([intent])
    openc2.read(document, asker), cacao.read(document, asker), stix.read(document, asker)   # -> Imported

Whatever is read becomes proposals that people must agree to; see ``request``. Modules are imported where they are used.
"""
