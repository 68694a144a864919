"""What the tests share: real servers, services in this process or as their own, and waiting for conditions."""
