"""Which bytes are in the HDF5 files, and are they sound?"""
