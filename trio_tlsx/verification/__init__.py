"""Certificate verification: two verifiers, their policy, and the reason of a refusal."""
