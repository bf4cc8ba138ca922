"""From alerts and findings to cases: screening, verification, attacker and threat, infrastructure, vulnerabilities."""
