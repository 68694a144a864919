"""Who is online: answers from what the gateways wrote, and ends the sessions of gateways that are gone."""
