"""Data that people bring: tables, folders of images, npz files, and their labels."""
