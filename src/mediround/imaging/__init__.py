"""Images and volumes: the only place that reads or writes image files.

image         Image, Modality, Edges: 2-D pixels and what is known of them
volume        Volume: 3-D voxels, display slices and their exact inverse
opening       open_image: any file or folder, by content
raster        PNG, JPEG, TIFF; masks as PNG
nifti         NIfTI in and out
dicom         one DICOM file;  dicom_header, codestream: its tags and its limits
dicom_series  a folder of DICOM files
dicom_seg     DICOM segmentations read;  dicom_seg_writer, dicom_segment: written
dicom_source  the images that a segmentation refers to
dicomweb      series and segmentations of an image server
surface_mesh  masks as surfaces, STL
rescale       stored to physical values
output        folders that can be written, files that appear whole
untrusted     decoder failures as typed errors
sandbox       files of strangers, in processes of their own;  warden: such a process
decoded_apart uploads and masks decoded there;  archive, inflation: what they may become
"""

from mediround.imaging.image import Edges, Image, Modality
from mediround.imaging.opening import open_image
from mediround.imaging.output import ensure_folder
from mediround.imaging.volume import Plane, Volume

__all__ = ["Edges", "Image", "Modality", "Plane", "Volume", "ensure_folder", "open_image"]
