"""Own data: tables, folders of images, npz files, and their labels."""
