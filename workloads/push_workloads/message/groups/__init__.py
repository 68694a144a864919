"""Groups, blocks and the policies of topics: who may read and write what."""
